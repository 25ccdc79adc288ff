SELECT version FROM operation_done WHERE rowid = ?1
