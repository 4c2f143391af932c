import org.hibernate.dialect.PostgreSQLDialect;

/** Has a "sequence" flake_reserve, whose values are first ids of blocks of 50. */
public class FlakeDialect extends PostgreSQLDialect {
    static final String NAME = "flake_reserve";

    @Override
    public String getSequenceNextValString(String sequence) {
        return sequence.equals(NAME) ? "SELECT first_id FROM flake_reserve(50)"
            : super.getSequenceNextValString(sequence);
    }

    @Override
    public String[] getCreateSequenceStrings(String sequence, int initial, int increment) {
        return sequence.equals(NAME) ? new String[0]
            : super.getCreateSequenceStrings(sequence, initial, increment);
    }

    @Override
    public String[] getDropSequenceStrings(String sequence) {
        return sequence.equals(NAME) ? new String[0] : super.getDropSequenceStrings(sequence);
    }
}
