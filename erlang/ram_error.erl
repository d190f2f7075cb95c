%% What can go wrong, in one place: the reasons, and what they say in words.
%%
%% Wrong arguments raise `badarg' with an explanation that the shell prints. What the system could
%% not do raises a `failure()'. What concerns the cluster is returned as `{error, cluster_error()}'.
-module(ram_error).

-export([badarg/3, failure/1, outcome/1, cluster/1, words/1, format_error/2]).
-export_type([failure/0, cluster_error/0]).

-type failure() ::
        noproc                                  % this node runs no member; nothing happened
      | {timeout, {ram, node()}}                % no answer in time; it may have happened
      | {overloaded, {ram, node()}}             % too much waits on this node; nothing happened
      | {value_too_large, Bytes :: non_neg_integer(), BytesMax :: pos_integer()}
      | {key_too_large, BytesMax :: pos_integer()}
      | {batch_too_large, BytesMax :: pos_integer()}
        %% This node's OTP has no term for the value: a newer one put it. Nothing happened.
      | {unreadable_value, Key :: term()}
        %% A defect of ram that the leader detected. Nothing happened.
      | {refused, Why :: binary()}.

-type cluster_error() ::
        {unreachable, [node()]}                 % no answer over Erlang distribution
      | {not_started, node(), term()}           % the application did not start there
      | {already_clustered, [node()]}           % these belong to another cluster
      | {storage_mismatch, node(), Set :: disk | memory, Asked :: disk | memory}
      | {majority_lost, [node()]}             % so many came back without their data
      | {not_member, node()}
      | {last_member, node()}                   % stop_cluster ends a cluster
        %% The member of the node, which the change needs, does not answer; nothing is changed.
      | {not_reached, node(), Address :: binary(), Cause :: binary()}
        %% It answers and did not get all the data; nothing is changed.
      | {not_caught_up, node(), Address :: binary(), Why :: binary()}
      | {timeout, {ram, node()}}
      | {running_on, [node()], term()}          % the cluster runs there; the rest failed
      | {bad_config, binary(), binary()}
      | {not_erased, node(), binary()}          % which file could not be deleted, and why
        %% Among others with `{unreadable, Text}' (what of the data folder could not be read, and
        %% what to do; nothing was deleted), `{in_use, Text}' (another process has the folder),
        %% `{busy, Work}' (the node has other work for so long; nothing was done).
      | {failed, node(), term()}
      | {file, binary()}                        % which file, where in it, what; nothing happened
      | not_empty                               % a backup is restored into an empty cluster only
        %% So many entries of a backup were put, then this; more may have been.
      | {partly, Restored :: non_neg_integer(), Total :: pos_integer(), cluster_error()}
      | {value_too_large, Bytes :: non_neg_integer(), BytesMax :: pos_integer()}
      | {key_too_large, BytesMax :: pos_integer()}
      | {overloaded, {ram, node()}}
      | noproc.

%% @doc Raises badarg with a cause that `format_error/2' puts into words.
-spec badarg(Arguments :: [term()], Position :: pos_integer(), Why :: iodata()) -> no_return().
badarg(Arguments, Position, Why) ->
    Cause = #{Position => Why},
    erlang:error(badarg, Arguments, [{error_info, #{module => ?MODULE, cause => Cause}}]).

%% @doc Raises what a request of this node failed with.
-spec failure(term()) -> no_return().
failure(timeout) -> error({timeout, {ram, node()}});
failure(overloaded) -> error({overloaded, {ram, node()}});
failure(Reason) -> error(Reason).

%% @doc Whether the write that raised this may have happened.
-spec outcome(failure() | term()) -> not_applied | unknown.
outcome(noproc) -> not_applied;
outcome({overloaded, {ram, _Node}}) -> not_applied;
outcome({value_too_large, _Bytes, _BytesMax}) -> not_applied;
outcome({key_too_large, _BytesMax}) -> not_applied;
outcome({batch_too_large, _BytesMax}) -> not_applied;
outcome({unreadable_value, _Key}) -> not_applied;
%% A defect: the leader could not read the write, and did not take it.
outcome({refused, _Why}) -> not_applied;
outcome(badarg) -> not_applied;
outcome(_TimeoutOrNotOurs) -> unknown.

%% @doc The reason of a failed change of the cluster, backup or restore, as the API tells it.
-spec cluster(term()) -> cluster_error().
cluster(timeout) -> {timeout, {ram, node()}};
cluster(overloaded) -> {overloaded, {ram, node()}};
cluster(noproc) -> noproc;
cluster({not_member, Name}) -> {not_member, binary_to_atom(Name)};
cluster({last_member, Name}) -> {last_member, binary_to_atom(Name)};
cluster({not_reached, Name, Address, Cause}) ->
    {not_reached, binary_to_atom(Name), Address, Cause};
cluster({not_caught_up, Name, Address, Why}) ->
    {not_caught_up, binary_to_atom(Name), Address, Why};
cluster({config, Key, Why}) -> {bad_config, Key, Why};
cluster(other_cluster) -> {already_clustered, [node()]};
cluster({file, What}) -> {file, What};
cluster(not_empty) -> not_empty;
cluster({partly, Restored, Total, Reason}) -> {partly, Restored, Total, cluster(Reason)};
cluster({value_too_large, _, _} = Reason) -> Reason;
cluster({key_too_large, _} = Reason) -> Reason;
cluster(Reason) -> {failed, node(), Reason}.

%% @doc Why a member does not run, for the log.
-spec words(term()) -> iodata().
words({Kind, Text}) when is_atom(Kind), is_binary(Text) -> Text;
words(Reason) -> io_lib:format("~tp", [Reason]).

-spec format_error(term(), erlang:stacktrace()) -> #{pos_integer() | general => iodata()}.
format_error(badarg, [{_Module, _Function, _Arguments, Info} | _]) ->
    maps:get(cause, proplists:get_value(error_info, Info, #{}), #{});
format_error(_Reason, _Stack) ->
    #{}.
