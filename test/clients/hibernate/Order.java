import javax.persistence.*;

@Entity
@Table(name = "orders")
public class Order {
    @Id
    @GeneratedValue(strategy = GenerationType.SEQUENCE, generator = "flake")
    @SequenceGenerator(name = "flake", sequenceName = "flake_reserve", allocationSize = 50)
    @Column(columnDefinition = "bigint DEFAULT flake_next_id()")
    Long id;

    @Column(columnDefinition = "text", nullable = false)
    String item;
}
