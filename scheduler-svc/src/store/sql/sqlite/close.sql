DELETE FROM operation WHERE id = ?1 AND EXISTS (SELECT 1 FROM operation_done AS d WHERE d.id = ?1)
