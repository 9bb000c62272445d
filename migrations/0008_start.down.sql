drop function wasaga.signal_saga(text, text, text, jsonb), wasaga.signal_saga(uuid, text, jsonb), wasaga.start_saga,
    wasaga.saga_id;
