import Config

config :ram, data_dir: System.fetch_env!("DATA_DIR")

config :diary,
  nodes: System.fetch_env!("NODES") |> String.split() |> Enum.map(&String.to_atom/1),
  file: System.fetch_env!("DIARY")
