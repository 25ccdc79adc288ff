SELECT id, epoch, version FROM operation_done WHERE id = ?1
