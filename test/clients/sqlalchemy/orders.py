import json
from sqlalchemy.orm import Session
from model import Order, engine

with Session(engine) as session:
    orders = [Order(item="tea")] + [Order(item="milk") for _ in range(1000)]
    session.add_all(orders)
    session.flush()
    print(json.dumps([str(order.id) for order in orders]))
    session.commit()
