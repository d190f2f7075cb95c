defmodule Diary do
  # Puts a new key every few milliseconds, and writes into a file which ones were acknowledged.
  use Application

  def start(_type, _arguments) do
    children = [
      {Ram.Cluster, nodes: Application.fetch_env!(:diary, :nodes)},
      {Task, fn -> keep(Application.fetch_env!(:diary, :file)) end}
    ]

    Supervisor.start_link(children, strategy: :one_for_one)
  end

  defp keep(path), do: File.open!(path, [:append], &write/1)

  defp write(file) do
    key = "#{node()} #{System.system_time()}"

    try do
      Ram.put(key, key)
      IO.puts(file, ["put\t", key])
    rescue
      error in Ram.Error -> IO.puts(file, ["failed\t", Exception.message(error)])
    end

    Process.sleep(5)
    write(file)
  end
end
