from sqlalchemy import BigInteger, Column, Text, create_engine, text
from sqlalchemy.orm import declarative_base

engine = create_engine("postgresql+psycopg2://", future=True)
Base = declarative_base()


class Order(Base):
    __tablename__ = "orders"
    id = Column(BigInteger, primary_key=True, server_default=text("flake_next_id()"))
    item = Column(Text, nullable=False)
