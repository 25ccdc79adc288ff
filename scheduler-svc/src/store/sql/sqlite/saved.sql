SELECT id, epoch, version, webhooks, outcome FROM operation WHERE id = ?1
