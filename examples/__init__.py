"""One application three times: customers, orders and a stock, in Django, Flask and FastAPI.

All three answer the same requests in the same way; `tests/contrib/shop_contract.py` says which.
"""
