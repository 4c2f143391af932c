import json
import django

django.setup()
from shop.models import Order

tea = Order.objects.create(item="tea")
many = Order.objects.bulk_create([Order(item="milk") for _ in range(1000)])

print(json.dumps([str(order.pk) for order in [tea, *many]]))
