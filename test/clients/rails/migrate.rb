# The migrations, then the table made anew from what Rails writes to schema.rb.
require_relative "order"

ActiveRecord::Base.establish_connection(adapter: "postgresql")
ActiveRecord::MigrationContext.new("db/migrate", ActiveRecord::SchemaMigration).migrate

schema = StringIO.new
ActiveRecord::SchemaDumper.dump(ActiveRecord::Base.connection, schema)
eval(schema.string)
