defmodule Ram.Cluster do
  @moduledoc """
  Makes the cluster as a step of a supervision tree.

      # lib/my_app/application.ex
      children = [
        {Ram.Cluster, nodes: [:"app@10.0.0.1", :"app@10.0.0.2", :"app@10.0.0.3"]},
        MyApp.Web
      ]

      Supervisor.start_link(children, strategy: :one_for_one)

  The children after it start when the cluster serves: on each node, in any order, at every start.
  It finds the cluster of these nodes, makes it, waits for it, or takes this node back into it when
  its data was lost: see `Ram.start_cluster/2`. When it cannot, the tree does not start, and the
  `Ram.Error` names the node that is at fault.

  Where this node serves and another member needs a hand (`{:running_on, nodes, reason}`) that is
  logged as a warning, and the tree starts.

  It leaves no process behind: the member of this node runs in the application `:ram`, under its own
  supervisor, and stops with it after the applications that use it.

  ## Options

    * `:nodes` (required): the names of the nodes, this one among them: else the tree does not
      start. An older list does no harm: members that were added or removed since stay so.
    * All others are those of `Ram.start_cluster/2`: `:storage` and `:wait_ms`.
  """

  @type option :: {:nodes, [node()]} | Ram.start_option()

  @spec child_spec([option()]) :: Supervisor.child_spec()
  def child_spec(options) do
    %{id: __MODULE__, start: {__MODULE__, :start_link, [options]}}
  end

  @doc """
  Returns `:ignore` when this node serves, and `{:error, reason}` else.

  The reason is a `Ram.Error` with a stack trace, which supervisors and Mix show in words; or an
  `ArgumentError`, where the list has not this node, and this node is no member.
  """
  @spec start_link([option()]) :: :ignore | {:error, {Exception.t(), Exception.stacktrace()}}
  def start_link(options) do
    {nodes, options} = Keyword.pop!(options, :nodes)

    case Ram.start_cluster(nodes, options) do
      :ok -> served(nodes)
      {:error, error} -> judge(error)
    end
  end

  # Erlang's start_cluster may be called from beside the cluster, a tree that needs ram may not. An
  # older list need not have this node.
  defp served(nodes) do
    if node() in nodes or member?() do
      :ignore
    else
      failed(%ArgumentError{message: outside(nodes)})
    end
  end

  defp member? do
    node() in Ram.nodes()
  rescue
    Ram.Error -> false
  end

  defp outside(nodes) do
    "this node, #{inspect(node())}, is none of the nodes #{inspect(nodes)} of Ram.Cluster, and no " <>
      "member of their cluster: name it there, or add it by Ram.add_node/1 on one of them"
  end

  defp judge(%Ram.Error{reason: {:running_on, nodes, _reason}} = error) do
    if node() in nodes do
      # Not Elixir's Logger, which is an application of its own that this needs for nothing else.
      :logger.warning("ram: ~ts", [Exception.message(error)])
      :ignore
    else
      failed(error)
    end
  end

  defp judge(error), do: failed(error)

  # As a process that raised: the form that is formatted as an exception.
  defp failed(error) do
    {:current_stacktrace, [_info | stacktrace]} = Process.info(self(), :current_stacktrace)
    {:error, {error, stacktrace}}
  end
end
