from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]

    operations = [
        migrations.RunSQL("CREATE EXTENSION IF NOT EXISTS flake", migrations.RunSQL.noop),
        migrations.RunSQL("""
            ALTER TABLE orders ALTER COLUMN id SET DEFAULT flake_next_id();
            DROP SEQUENCE orders_id_seq;
        """),
    ]
