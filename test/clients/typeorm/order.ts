import { Column, DataSource, Entity, PrimaryColumn } from 'typeorm'

@Entity('orders')
export class Order {
  // Not @PrimaryGeneratedColumn(): with that, synchronizing drops the default.
  @PrimaryColumn({ type: 'bigint', default: () => 'flake_next_id()' })
  id!: string

  @Column('text')
  item!: string
}

export const db = new DataSource({
  type: 'postgres',
  url: process.env.DATABASE_URL,
  entities: [Order],
})
