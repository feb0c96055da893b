-- Words are checked by OR: for an IN of more than two, SQLite makes a table at each insert, which costs more than the insert.
-- The rows are the same and stay where they are; only what is said of them changes (https://sqlite.org/lang_altertable.html,
-- "Making other kinds of table schema changes").
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql,
    'status IN (''completed'', ''no-answer'', ''voicemail'', ''busy'', ''failed'')',
    'status = ''completed'' OR status = ''no-answer'' OR status = ''voicemail'' OR status = ''busy'' OR status = ''failed''')
    WHERE type = 'table' AND name = 'calls';
UPDATE sqlite_schema SET sql = replace(sql,
    'ai_category IN (''lead'', ''existing_customer'', ''spam'', ''wrong_number'', ''voicemail'')',
    'ai_category = ''lead'' OR ai_category = ''existing_customer'' OR ai_category = ''spam'' OR ai_category = ''wrong_number'' OR ai_category = ''voicemail''')
    WHERE type = 'table' AND name = 'calls';
UPDATE sqlite_schema SET sql = replace(sql,
    'event IN (''call.completed'', ''call.missed'', ''call.voicemail'', ''call.failed'')',
    'event = ''call.completed'' OR event = ''call.missed'' OR event = ''call.voicemail'' OR event = ''call.failed''')
    WHERE type = 'table' AND name = 'deliveries';
UPDATE sqlite_schema SET sql = replace(sql,
    'status IN (''waiting_for_ai'', ''scheduled'', ''delivered'', ''failed'', ''cancelled'', ''skipped'')',
    'status = ''waiting_for_ai'' OR status = ''scheduled'' OR status = ''delivered'' OR status = ''failed'' OR status = ''cancelled'' OR status = ''skipped''')
    WHERE type = 'table' AND name = 'deliveries';
PRAGMA writable_schema = RESET;
