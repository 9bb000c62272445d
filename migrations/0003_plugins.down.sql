drop function wasaga.handled_topics_begin;
-- Guests' own schemas and roles hold the users' data: they stay.
drop table wasaga.secrets, wasaga.plugin_migrations, wasaga.plugin_roles, wasaga.definitions, wasaga.activations,
    wasaga.handled_topics;
drop function wasaga.handled_topics_follow;
drop sequence wasaga.generations;
drop table wasaga.modules, wasaga.module_signatures;
