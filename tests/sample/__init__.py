"""The sample case: Telegram in Indonesia, 2017, replayed."""
