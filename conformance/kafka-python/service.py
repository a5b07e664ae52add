"""What the fixtures want of a broker that runs already."""


class ExternalService:
    def __init__(self, host, port):
        self.host = host
        self.port = port

    def open(self):
        pass

    def dump_logs(self):
        pass

    def stop(self):
        pass


class SpawnedService:
    def __init__(self, args, env):
        raise RuntimeError("only a broker that runs already is tested")
