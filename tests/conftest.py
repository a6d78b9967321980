"""Set up before any test module is imported."""

from service.settings import make_threads_patient

# Before torch is loaded: its threads must not spin while another test's process wants the core.
make_threads_patient()
