import json
import psycopg

with psycopg.connect() as connection:
    tea, = connection.execute(
        "INSERT INTO orders (item) VALUES (%s) RETURNING id", ["tea"]).fetchone()

    # COPY returns no ids, so get them first.
    many = [row[0] for row in connection.execute("SELECT flake_next_ids(1000)")]
    with connection.cursor().copy("COPY orders (id, item) FROM STDIN") as copy:
        for id in many:
            copy.write_row([id, "milk"])

print(json.dumps([str(id) for id in [tea, *many]]))
