INSERT INTO t (n, payload) SELECT g, 'a row of the benchmark' FROM generate_series(1, :rows) AS g;
