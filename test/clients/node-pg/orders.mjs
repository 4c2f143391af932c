import pg from 'pg'

const client = new pg.Client()
await client.connect()

const tea = await client.query(
  'INSERT INTO orders (item) VALUES ($1) RETURNING id', ['tea'])
const many = await client.query(
  'INSERT INTO orders (item) SELECT unnest($1::text[]) RETURNING id', [Array(1000).fill('milk')])

// The driver returns bigint as a string.  Keep it one.
console.log(JSON.stringify([...tea.rows, ...many.rows].map(row => row.id)))
await client.end()
