DELETE FROM operation AS o
USING unnest($1::uuid[]) AS i (id)
WHERE o.id = i.id AND EXISTS (SELECT FROM operation_done AS d WHERE d.id = i.id)
RETURNING o.id
