drop function wasaga.start_saga, wasaga.saga_id;
