require "active_record"

class Order < ActiveRecord::Base
  # Otherwise the id is a number in JSON.
  def serializable_hash(options = nil)
    super.tap { |hash| hash["id"] = id.to_s if hash.key?("id") }
  end
end
