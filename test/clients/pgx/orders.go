package main

import (
	"context"
	"encoding/json"
	"log"
	"os"

	"github.com/jackc/pgx/v4"
)

type Order struct {
	ID   int64 `json:"id,string"` // without ",string" it is a number in JSON
	Item string
}

// insert gives the orders their ids.
func insert(ctx context.Context, db *pgx.Conn, orders []Order) error {
	items := make([]string, len(orders))
	for i, order := range orders {
		items[i] = order.Item
	}
	rows, err := db.Query(ctx, "INSERT INTO orders (item) SELECT unnest($1::text[]) RETURNING id", items)
	if err != nil {
		return err
	}
	defer rows.Close()
	for i := 0; rows.Next(); i++ {
		if err := rows.Scan(&orders[i].ID); err != nil {
			return err
		}
	}
	return rows.Err()
}

func main() {
	ctx := context.Background()
	orders := make([]Order, 1001)
	for i := range orders {
		orders[i].Item = "milk"
	}

	db, err := pgx.Connect(ctx, "")
	if err == nil {
		err = insert(ctx, db, orders)
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(orders)
	}
	if err != nil {
		log.Fatal(err)
	}
}
