%% What a put says of a key beside its value: for how long it stays, and who owns it. Called by what
%% makes puts, for the user's call. Counterpart of owner.rs.
-module(ram_owned).

-export([options/1, beside/5, owner/2]).

-type member() :: {ram_nif:member(), TimeoutMs :: non_neg_integer()}.
%% What follows the value in a command.
-type beside() :: [] | [ram:ttl()] | [ram:ttl() | binary()].

%% @doc The options of a put that are told here, beside those that the call knows.
-spec options(ram_arguments:checks()) -> ram_arguments:checks().
options(Checks) ->
    Checks#{ttl => fun ram_arguments:ttl/1, owner => fun ram_arguments:owner/1}.

%% @doc What these options make of a key. The owner is an argument of the call, or in one.
-spec beside(map(), member(), Position :: pos_integer(), Where :: string(), ram_error:call()) ->
          beside().
beside(#{owner := Owner} = Options, Member, Position, Where, Call) ->
    case owner(Owner, Member) of
        {owner, Encoded} -> [maps:get(ttl, Options, infinity), Encoded];
        {error, {not_member, _}} ->
            ram_arguments:wrong(Call, Position, "~tsthe option owner must be a node of the "
                                "cluster, or a process of one, and is ~0tp", [Where, Owner]);
        {error, Reason} -> ram_error:failure(Reason, Call)
    end;
beside(#{ttl := Ttl}, _Member, _Position, _Where, _Call) when Ttl =/= infinity ->
    [Ttl];
beside(_Options, _Member, _Position, _Where, _Call) ->
    [].

%% @doc An owner as it is sent; `not_member' when it is no node of the cluster, nor of one.
-spec owner(pid() | node(), member()) -> {owner, binary()} | {error, term()}.
owner(Owner, {Member, TimeoutMs}) ->
    Name = term_to_binary(Owner),
    case node_of(Owner) of
        Node when Node =:= node() ->
            {owner, ram_nif:owner_here(Member, Name)};
        Node ->
            Ask = fun(Ref) ->
                          ram_nif:owner(Member, Ref, atom_to_binary(Node), Name, TimeoutMs)
                  end,
            ram_request:call(Member, Ask, TimeoutMs)
    end.

node_of(Pid) when is_pid(Pid) -> node(Pid);
node_of(Node) -> Node.
