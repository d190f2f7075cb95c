defmodule Ram.TestTree do
  # The tree of an application that needs ram, and where a node logs to.

  def start(options) do
    {caller, ref} = {self(), make_ref()}

    # A process that lives on: the call from the test ends when this function does.
    spawn(fn ->
      Process.flag(:trap_exit, true)
      send(caller, {ref, Supervisor.start_link([{Ram.Cluster, options}], strategy: :one_for_one)})
      Process.sleep(:infinity)
    end)

    receive do
      {^ref, result} -> result
    end
  end

  def log_to(file) do
    :logger.add_handler(:ram_test, :logger_std_h, %{config: %{file: to_charlist(file)}})
  end
end
