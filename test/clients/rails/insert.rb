require_relative "order"

ActiveRecord::Base.establish_connection(adapter: "postgresql")

tea = Order.create!(item: "tea")
many = Order.insert_all!([{ item: "milk" }] * 1000, returning: [:id, :item])

orders = [tea] + many.map { |row| Order.instantiate(row) }
puts orders.to_json
