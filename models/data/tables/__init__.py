"""Tables that people bring: csv, tsv, jsonl and parquet, row by row in bounded memory."""
