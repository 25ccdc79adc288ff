DELETE FROM application WHERE id = ?1 AND operation_id = ?2
