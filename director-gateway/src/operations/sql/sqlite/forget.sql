DELETE FROM outbox WHERE operation_id = ?1
