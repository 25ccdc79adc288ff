-- ?2: whether its end has just been written, which saves looking for it.
DELETE FROM operation WHERE id = ?1 AND (?2 OR EXISTS (SELECT 1 FROM operation_done AS d WHERE d.id = ?1))
