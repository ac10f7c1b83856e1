"""`moments audit`: does the ledger of every moment balance (DOMAIN §6.11)?"""
