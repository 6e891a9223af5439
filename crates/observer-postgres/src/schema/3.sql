-- The files of plans, so that every instance can show and review a plan.
CREATE TABLE plan_files (
    plan text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (plan, name)
);
