from django.db import models


class Stock(models.Model):
    product = models.TextField(primary_key=True)
    quantity = models.IntegerField()

    def __str__(self):
        return self.product
