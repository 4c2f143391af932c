import java.sql.*;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

class Orders {
    public static void main(String[] args) throws SQLException {
        try (Connection connection = DriverManager.getConnection(System.getenv("JDBC_URL"))) {
            List<String> ids = insert(connection, List.of("tea"));
            ids.addAll(insert(connection, Collections.nCopies(1000, "milk")));
            System.out.println("[\"" + String.join("\",\"", ids) + "\"]");
        }
    }

    static List<String> insert(Connection connection, List<String> items) throws SQLException {
        List<String> ids = new ArrayList<>();

        try (PreparedStatement insert = connection.prepareStatement(
                 "INSERT INTO orders (item) SELECT unnest(?) RETURNING id")) {
            insert.setArray(1, connection.createArrayOf("text", items.toArray()));
            try (ResultSet rows = insert.executeQuery()) {
                while (rows.next())
                    ids.add(rows.getString("id"));
            }
        }
        return ids;
    }
}
