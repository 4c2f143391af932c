import { Order, db } from './order'

async function main() {
  const orders = (await db.initialize()).getRepository(Order)

  const tea = await orders.insert({ item: 'tea' })
  const many = await orders.insert(Array.from({ length: 1000 }, () => ({ item: 'milk' })))

  console.log(JSON.stringify([...tea.identifiers, ...many.identifiers].map(row => row.id)))
  await db.destroy()
}

main()
