import java.util.ArrayList;
import java.util.List;
import org.hibernate.Session;
import org.hibernate.SessionFactory;
import org.hibernate.cfg.Configuration;

public class Orders {
    public static void main(String[] args) {
        // "update" makes what is missing, and changes nothing that is there.
        Configuration configuration = new Configuration().addAnnotatedClass(Order.class)
            .setProperty("hibernate.connection.url", System.getenv("JDBC_URL") + "&reWriteBatchedInserts=true")
            .setProperty("hibernate.hbm2ddl.auto", "update");
        SessionFactory factory = configuration.buildSessionFactory();

        if (args.length == 0)
            insert(factory.openSession());
        factory.close();
    }

    static void insert(Session session) {
        List<String> ids = new ArrayList<>();

        session.beginTransaction();
        for (int i = 0; i < 1001; i++) {
            Order order = new Order();
            order.item = "milk";
            session.save(order);
            ids.add(order.id.toString());
        }
        session.getTransaction().commit();
        session.close();
        System.out.println("[\"" + String.join("\",\"", ids) + "\"]");
    }
}
