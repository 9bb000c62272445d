drop function wasaga.out_topics;
-- Guests' own schemas and roles hold the users' data: they stay.
drop table wasaga.secrets, wasaga.plugin_migrations, wasaga.plugin_roles, wasaga.definitions, wasaga.activations;
drop sequence wasaga.generations;
drop table wasaga.modules;
