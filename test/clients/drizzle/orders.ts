import { drizzle } from 'drizzle-orm/node-postgres'
import { orders } from './schema'

const db = drizzle(process.env.DATABASE_URL!)
const id = { id: orders.id }

const tea = await db.insert(orders).values({ item: 'tea' }).returning(id)
const many = await db.insert(orders).values(Array(1000).fill({ item: 'milk' })).returning(id)

// JSON.stringify() refuses a BigInt.
console.log(JSON.stringify([...tea, ...many].map(row => String(row.id))))
await db.$client.end()
