import { PrismaPg } from '@prisma/adapter-pg'
import { PrismaClient } from './generated/client'

const prisma = new PrismaClient({
  adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL }),
})

const tea = await prisma.order.create({ data: { item: 'tea' } })
const many = await prisma.order.createManyAndReturn({ data: Array(1000).fill({ item: 'milk' }) })

// JSON.stringify() refuses a BigInt.
console.log(JSON.stringify([tea, ...many].map(order => String(order.id))))
await prisma.$disconnect()
