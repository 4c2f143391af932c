class CreateOrders < ActiveRecord::Migration[6.1]
  def change
    enable_extension "flake"
    create_table :orders, id: :bigint, default: -> { "flake_next_id()" } do |t|
      t.text :item, null: false
    end
  end
end
