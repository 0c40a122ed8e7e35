from hypothesis import HealthCheck, settings

# An example may take as long as it takes: a busy machine would break any limit.
settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
