DELETE FROM operation
WHERE id IN (SELECT unhex(value ->> 0) FROM json_each(?1))
    AND EXISTS (SELECT 1 FROM operation_done AS d WHERE d.id = operation.id)
RETURNING id
