DELETE FROM outbox WHERE rowid = ?1
