SELECT d.id, d.epoch, d.version
FROM json_each(?1) AS i
CROSS JOIN operation_done AS d ON d.id = unhex(i.value ->> 0)
