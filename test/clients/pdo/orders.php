<?php
$pdo = new PDO('pgsql:');

// Not lastInsertId(): that asks for lastval().
$tea = $pdo->prepare('INSERT INTO orders (item) VALUES (?) RETURNING id');
$tea->execute(['tea']);

$items = array_fill(0, 1000, 'milk');
$many = $pdo->prepare('INSERT INTO orders (item) VALUES ' .
    implode(', ', array_fill(0, count($items), '(?)')) . ' RETURNING id');
$many->execute($items);

$ids = array_merge($tea->fetchAll(PDO::FETCH_COLUMN), $many->fetchAll(PDO::FETCH_COLUMN));
echo json_encode(array_map('strval', $ids)), "\n";
