# shellcheck shell=bash
# packages: python3-django python3-psycopg2
# statements: 2

export DJANGO_SETTINGS_MODULE=settings PYTHONPATH=.

migrate() { django-admin migrate && django-admin makemigrations --check; }
insert() { python3 orders.py; }
